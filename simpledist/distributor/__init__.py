"""The distributor."""
