"""The OpenAPI document of the API, built from the same definitions that the API works by."""
