"""Where records that could not be shipped are kept with their reason."""
