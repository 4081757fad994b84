"""Third-party programs of the stack: fetched or built once into the shared cache, with the ordinary package clients."""
