"""The checks behind `tools/check_golden`: one module per part of the specification."""
