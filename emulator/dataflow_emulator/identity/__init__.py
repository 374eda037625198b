"""Who calls: a Security Token Service, IAM Credentials, the permissions of projects, and issuers of other clouds."""
