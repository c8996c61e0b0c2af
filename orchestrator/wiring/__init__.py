"""Say what each operator key means at a site: read operators.yaml, and choose which of several is in force."""
