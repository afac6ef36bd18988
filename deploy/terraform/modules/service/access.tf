# Who may ask what of AWS? Starting a task needs its image, its log and its own secrets; the running service needs nothing
# at all, and has no role.

locals {
  assumed_by_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = {
        ArnLike      = { "aws:SourceArn" = "arn:aws:ecs:${local.region}:${local.account}:*" }
        StringEquals = { "aws:SourceAccount" = local.account }
      }
    }]
  })
  to_start = [
    {
      Sid    = "FetchTheImage"
      Effect = "Allow"
      Action = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      # One repository.
      Resource = var.repository_arn
    },
    {
      Sid    = "LogInToTheRegistry"
      Effect = "Allow"
      Action = "ecr:GetAuthorizationToken"
      # AWS knows no narrower resource for it.
      Resource = "*"
    },
    {
      Sid      = "Log"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.this.arn}:*"
    },
    {
      Sid      = "ReadWhatTheKeyEncrypts"
      Effect   = "Allow"
      Action   = "kms:Decrypt"
      Resource = var.key_arn
      Condition = {
        StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" }
      }
    },
  ]
  service_secret_arns = concat([aws_secretsmanager_secret.service.arn], aws_secretsmanager_secret.tokens[*].arn)
  administration_secret_arns = [
    aws_secretsmanager_secret.service.arn,
    aws_secretsmanager_secret.migration.arn,
    aws_secretsmanager_secret.admin.arn,
  ]
}

resource "aws_iam_role" "start_service" {
  name               = "${var.name}-start-service"
  assume_role_policy = local.assumed_by_tasks
}

resource "aws_iam_role_policy" "start_service" {
  name = "start"
  role = aws_iam_role.start_service.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.to_start, [{
      Sid      = "ReadItsSecrets"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = local.service_secret_arns
    }])
  })
}

resource "aws_iam_role" "start_administration" {
  name               = "${var.name}-start-administration"
  assume_role_policy = local.assumed_by_tasks
}

resource "aws_iam_role_policy" "start_administration" {
  name = "start"
  role = aws_iam_role.start_administration.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.to_start, [{
      Sid      = "ReadItsSecrets"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = local.administration_secret_arns
    }])
  })
}
