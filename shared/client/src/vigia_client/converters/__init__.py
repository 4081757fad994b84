"""Labels that other tools wrote, made manifests for Custom Labels, field by field as the guide's own scripts do."""
