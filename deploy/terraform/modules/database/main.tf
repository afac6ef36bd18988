# Where is the data, and who may ask for it? PostgreSQL that no other network reaches, encrypted on disk and on the wire,
# with a standby in another zone that has every change before it is acknowledged.

locals {
  database = "hello"
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnets
}

resource "aws_security_group" "database" {
  name        = "${var.name}-database"
  description = "PostgreSQL, from the tasks alone"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "tasks" {
  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL from the tasks"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = var.client_security_group
}

resource "aws_db_parameter_group" "this" {
  name_prefix = "${var.name}-"
  family      = "postgres17"
  description = "TLS for everybody, and nobody's name in a log"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  # Statements hold names and dates of birth, as text or as parameters, and so do the details of their errors.
  dynamic "parameter" {
    for_each = {
      log_statement                     = "none"
      log_min_duration_statement        = "-1"
      log_min_error_statement           = "panic"
      log_error_verbosity               = "terse"
      log_parameter_max_length          = "0"
      log_parameter_max_length_on_error = "0"
    }
    content {
      name  = parameter.key
      value = parameter.value
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "primary" {
  #checkov:skip=CKV_AWS_161:the service has a password from Secrets Manager; tokens of IAM end after 15 minutes, and it would have to ask for new ones
  #checkov:skip=CKV_AWS_157:one instance is what the small example asks for, by database_multi_az
  #checkov:skip=CKV_AWS_293:deletion protection is the variable protect, on unless said otherwise
  #checkov:skip=CKV2_AWS_30:logged statements would hold names and dates of birth
  identifier = var.name

  engine         = "postgres"
  engine_version = "17"
  instance_class = var.class
  multi_az       = var.multi_az

  # A restored one brings its own.
  db_name  = var.restore == null ? local.database : null
  username = "hello_admin"
  # A first password that nobody knows: write-only, so in no plan and no state. deploy/aws/rotate sets each one that is used.
  # RDS can't keep it itself (manage_master_user_password): of such an instance no replica can be made.
  password_wo         = uuid()
  password_wo_version = 1

  allocated_storage     = var.storage
  max_allocated_storage = var.storage * 5
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = var.key_arn

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.database.id]
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  backup_retention_period   = var.backup_days
  backup_window             = "02:00-02:30"
  maintenance_window        = "sun:03:00-sun:03:30"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = !var.protect
  deletion_protection       = var.protect
  skip_final_snapshot       = !var.protect
  final_snapshot_identifier = "${var.name}-last"

  auto_minor_version_upgrade      = true
  apply_immediately               = false
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.key_arn
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]

  dynamic "restore_to_point_in_time" {
    for_each = var.restore[*]
    content {
      source_db_instance_identifier            = restore_to_point_in_time.value.instance
      source_db_instance_automated_backups_arn = restore_to_point_in_time.value.backups_arn
      restore_time                             = restore_to_point_in_time.value.time
      use_latest_restorable_time               = restore_to_point_in_time.value.time == null ? true : null
    }
  }

  lifecycle {
    # From what it was made matters once; and one from another region's backups has the key that encrypts those.
    ignore_changes = [restore_to_point_in_time, kms_key_id]
  }

  depends_on = [aws_cloudwatch_log_group.primary]
}

# RDS would make them, and keep them for ever.
resource "aws_cloudwatch_log_group" "primary" {
  #checkov:skip=CKV_AWS_338:see log_days
  for_each          = toset(["postgresql", "upgrade"])
  name              = "/aws/rds/instance/${var.name}/${each.key}"
  retention_in_days = var.log_days
  kms_key_id        = var.key_arn
}

resource "aws_db_instance" "replica" {
  #checkov:skip=CKV_AWS_161:as for the primary
  #checkov:skip=CKV_AWS_157:a replica that is lost is replaced, and reads go to the primary meanwhile
  #checkov:skip=CKV_AWS_293:it holds nothing that the primary has not
  #checkov:skip=CKV_AWS_129:its log tells nothing that the primary's doesn't
  #checkov:skip=CKV2_AWS_30:as for the primary
  #checkov:skip=CKV2_AWS_60:it has no snapshots
  count = var.replicas

  # Encrypted with the primary's key: in the same region no key may be named.
  identifier             = "${var.name}-replica-${count.index + 1}"
  replicate_source_db    = aws_db_instance.primary.identifier
  instance_class         = var.class
  storage_type           = "gp3"
  storage_encrypted      = true
  max_allocated_storage  = var.storage * 5
  vpc_security_group_ids = [aws_security_group.database.id]
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"
  skip_final_snapshot    = true

  auto_minor_version_upgrade      = true
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.key_arn
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn
}

resource "aws_iam_role" "monitoring" {
  name = "${var.name}-${data.aws_region.here.region}-database-monitoring"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

data "aws_caller_identity" "here" {}
data "aws_region" "here" {}

# The backups, and the log from which any second of the last days can be restored, in another region as well.
resource "aws_kms_key" "copy" {
  count                   = var.copy_backups_to == null ? 0 : 1
  region                  = var.copy_backups_to
  description             = "${var.name}: copies of backups"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TheAccountDecides"
      Effect    = "Allow"
      Action    = "kms:*"
      Resource  = "*"
      Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.here.account_id}:root" }
    }]
  })
}

resource "aws_db_instance_automated_backups_replication" "copy" {
  count                  = var.copy_backups_to == null ? 0 : 1
  region                 = var.copy_backups_to
  source_db_instance_arn = aws_db_instance.primary.arn
  kms_key_id             = aws_kms_key.copy[0].arn
  retention_period       = var.backup_days
}
