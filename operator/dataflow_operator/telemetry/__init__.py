"""What people and machines see of the operator: log lines, metrics, and whether it is well."""
