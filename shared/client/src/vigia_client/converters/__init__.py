"""Labels that other tools wrote, made manifests that Custom Labels reads. Fields are those of the guide's own scripts."""
