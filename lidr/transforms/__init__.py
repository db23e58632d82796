"""Pure functions on columns: no files, no clock, no model. The paper's method is in `pairs`."""
