"""How well models decide: trained by the product's own code on local images, measured on their exported graphs."""
