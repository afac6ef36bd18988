# Who may make a release? A pipeline that shows a token of its own (OIDC): there is no key to keep or to lose.

locals {
  tasks = "arn:aws:ecs:${local.region}:${local.account}:task-definition/${var.name}"
}

resource "aws_iam_role" "release" {
  count                = var.releasers == null ? 0 : 1
  name                 = "${var.name}-${local.region}-release"
  max_session_duration = 3600
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = var.releasers.provider_arn }
      Condition = {
        StringEquals = {
          "${split("oidc-provider/", var.releasers.provider_arn)[1]}:aud" = var.releasers.audience
          "${split("oidc-provider/", var.releasers.provider_arn)[1]}:sub" = var.releasers.subjects
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "release" {
  count = var.releasers == null ? 0 : 1
  name  = "release"
  role  = aws_iam_role.release[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "PushImages"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
          "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Resource = module.registry.arn
      },
      {
        Sid    = "HaveNoNarrowerResource"
        Effect = "Allow"
        Action = ["ecr:GetAuthorizationToken", "ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"]
        # AWS knows no narrower resource for these.
        Resource = "*"
      },
      {
        Sid      = "GiveTasksTheirRoles"
        Effect   = "Allow"
        Action   = "iam:PassRole"
        Resource = module.service.release_roles
        Condition = {
          StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" }
        }
      },
      {
        Sid      = "Migrate"
        Effect   = "Allow"
        Action   = "ecs:RunTask"
        Resource = "${local.tasks}-migrate:*"
      },
      {
        Sid    = "Roll"
        Effect = "Allow"
        Action = ["ecs:DescribeServices", "ecs:UpdateService", "ecs:DescribeTasks"]
        Resource = [
          "arn:aws:ecs:${local.region}:${local.account}:service/${var.name}/${var.name}",
          "arn:aws:ecs:${local.region}:${local.account}:task/${var.name}/*",
        ]
      },
      {
        # After the first release there are never fewer tasks than tasks_min.
        Sid      = "KeepTasks"
        Effect   = "Allow"
        Action   = "application-autoscaling:RegisterScalableTarget"
        Resource = "arn:aws:application-autoscaling:${local.region}:${local.account}:scalable-target/*"
        Condition = {
          StringEquals = {
            "application-autoscaling:service-namespace"  = "ecs"
            "application-autoscaling:scalable-dimension" = "ecs:service:DesiredCount"
          }
        }
      },
    ]
  })
}
