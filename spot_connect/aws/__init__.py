"""The AWS boundary, one module per kind of resource; the only place that imports boto3."""
