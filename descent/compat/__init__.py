"""Other systems' module names on top of Descent: change the import line, keep the script."""
