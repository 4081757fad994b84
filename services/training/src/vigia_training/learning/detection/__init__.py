"""How an object detector is learnt: crops, a one-stage network on a feature pyramid, task-aligned assignment."""
