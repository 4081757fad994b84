"""How a locator of logos is learnt from images of the logos alone: cut out, printed, and put into drawn scenes."""
