"""How a model is learnt: variations, frozen features, heads, calibration, export."""
