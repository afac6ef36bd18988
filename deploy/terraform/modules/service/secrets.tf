# Where are the secrets? In Secrets Manager, and not in Terraform's state: what is made here is empty, and filled by
# deploy/aws/rotate and by whoever gives out tokens.

locals {
  # Ours may be deleted only after a month of regret, where anything is protected.
  recovery_days = var.protect ? 30 : 0
}

resource "aws_secretsmanager_secret" "admin" {
  #checkov:skip=CKV2_AWS_57:as for the service
  name                    = "${var.name}/admin"
  description             = "The database's administrator: username and password"
  kms_key_id              = var.key_arn
  recovery_window_in_days = local.recovery_days
}

resource "aws_secretsmanager_secret" "service" {
  #checkov:skip=CKV2_AWS_57:changed by deploy/aws/rotate, which also replaces the tasks; a function that does it alone would leave those with the old one
  name                    = "${var.name}/service"
  description             = "The database's role that serves: username, password and, with replicas, replica_url"
  kms_key_id              = var.key_arn
  recovery_window_in_days = local.recovery_days
}

resource "aws_secretsmanager_secret" "migration" {
  #checkov:skip=CKV2_AWS_57:as for the service
  name                    = "${var.name}/migration"
  description             = "The database's role that may alter tables: username and password"
  kms_key_id              = var.key_arn
  recovery_window_in_days = local.recovery_days
}

resource "aws_secretsmanager_secret" "tokens" {
  #checkov:skip=CKV2_AWS_57:its lines are hashes of tokens that people hold; they are revoked one by one
  count                   = var.ask_for_tokens ? 1 : 0
  name                    = "${var.name}/tokens"
  description             = "Who may do what: lines made by `hello-birthday token`"
  kms_key_id              = var.key_arn
  recovery_window_in_days = local.recovery_days
}
