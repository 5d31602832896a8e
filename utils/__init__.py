"""The façade: the storage manager, the data initializer and the middleware of the specification."""
