"""Tags: keys and values that customers attach to what they own, under its ARN, whichever protocol named it."""
