"""Other projects' own tests, with the cluster in place of loky: `make foreign`."""
