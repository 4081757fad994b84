"""How a classifier of whole images is learnt: a probe on pretrained features, then its last blocks if that pays."""
