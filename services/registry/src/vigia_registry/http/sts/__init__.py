"""AWS Security Token Service, in its Query protocol (2011-06-15): forms in, XML out."""
