"""The Amazon Lookout for Vision protocol: REST-JSON, SigV4, base path /2020-11-20."""
