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
  # Where psql's image is in ECR, it is in a repository of its own.
  psql = try(regex("^(?P<account>[0-9]{12})\\.dkr\\.ecr\\.(?P<region>[a-z0-9-]+)\\.amazonaws\\.com/(?P<name>[^:@]+)", var.psql_image), null)
  # What each task needs so that it can be started, and no other: a pipeline may start migrations, but not the making of roles.
  to_start = {
    service = {
      repositories = [var.repository_arn]
      secrets      = concat([aws_secretsmanager_secret.service.arn], aws_secretsmanager_secret.tokens[*].arn)
    }
    migrate = {
      repositories = [var.repository_arn]
      secrets      = [aws_secretsmanager_secret.migration.arn]
    }
    roles = {
      repositories = [for psql in local.psql[*] : "arn:aws:ecr:${psql.region}:${psql.account}:repository/${psql.name}"]
      secrets = [
        aws_secretsmanager_secret.admin.arn,
        aws_secretsmanager_secret.service.arn,
        aws_secretsmanager_secret.migration.arn,
      ]
    }
  }
}

resource "aws_iam_role" "start" {
  for_each           = local.to_start
  name               = "${var.name}-${local.region}-start-${each.key}"
  assume_role_policy = local.assumed_by_tasks
}

resource "aws_iam_role_policy" "start" {
  for_each = local.to_start
  name     = "start"
  role     = aws_iam_role.start[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for repository in each.value.repositories : {
        Sid      = "FetchTheImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = repository
      }],
      [
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
        {
          Sid      = "ReadItsSecrets"
          Effect   = "Allow"
          Action   = "secretsmanager:GetSecretValue"
          Resource = each.value.secrets
        },
      ],
    )
  })
}
