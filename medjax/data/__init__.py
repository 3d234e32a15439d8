"""One module or folder a source of data, and the prepared sets they are turned into."""
