"""What other services of the product ask registry; never routed by the gateway."""
