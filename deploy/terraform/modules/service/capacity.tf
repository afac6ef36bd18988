# Where do tasks run if not on Fargate? On machines of our own, which ECS adds and takes away as tasks need them.

locals {
  machines = var.capacity == "ec2" ? 1 : 0
}

data "aws_ssm_parameter" "machine_image" {
  count = local.machines
  name = join("/", [
    "/aws/service/ecs/optimized-ami/amazon-linux-2023",
    var.architecture == "ARM64" ? "arm64/recommended/image_id" : "recommended/image_id",
  ])
}

resource "aws_iam_role" "machines" {
  count = local.machines
  name  = "${var.name}-${local.region}-machines"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "machines" {
  count      = local.machines
  role       = aws_iam_role.machines[0].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "machines" {
  count = local.machines
  name  = "${var.name}-${local.region}-machines"
  role  = aws_iam_role.machines[0].name
}

# Tasks have addresses of their own: the machines themselves are spoken to by nobody.
resource "aws_security_group" "machines" {
  count       = local.machines
  name        = "${var.name}-machines"
  description = "The machines below the tasks"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "machines" {
  count             = local.machines
  security_group_id = aws_security_group.machines[0].id
  description       = "HTTPS, to the endpoints of AWS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_launch_template" "machines" {
  count         = local.machines
  name_prefix   = "${var.name}-"
  image_id      = data.aws_ssm_parameter.machine_image[0].value
  instance_type = var.machine_type
  user_data = base64encode(<<-EOT
    #!/bin/sh
    cat >>/etc/ecs/ecs.config <<END
    ECS_CLUSTER=${aws_ecs_cluster.this.name}
    ECS_AWSVPC_BLOCK_IMDS=true
    ECS_CONTAINER_STOP_TIMEOUT=${local.stop_timeout}s
    END
  EOT
  )
  vpc_security_group_ids = [aws_security_group.machines[0].id]
  update_default_version = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.machines[0].arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      encrypted   = true
      volume_type = "gp3"
      volume_size = 30
    }
  }
}

resource "aws_autoscaling_group" "machines" {
  count               = local.machines
  name_prefix         = "${var.name}-"
  vpc_zone_identifier = var.private_subnets
  min_size            = 0
  max_size            = var.tasks_max * 2
  # ECS empties a machine before it is taken away; with the group all go, protected or not, for they hold nothing.
  protect_from_scale_in = true
  force_delete          = true

  launch_template {
    id      = aws_launch_template.machines[0].id
    version = aws_launch_template.machines[0].latest_version
  }

  tag {
    key                 = "AmazonECSManaged"
    value               = "true"
    propagate_at_launch = true
  }

  tag {
    key                 = "Name"
    value               = var.name
    propagate_at_launch = true
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }
}

resource "aws_ecs_capacity_provider" "machines" {
  count = local.machines
  name  = "${var.name}-machines"

  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.machines[0].arn
    managed_termination_protection = "ENABLED"
    managed_draining               = "ENABLED"

    managed_scaling {
      status          = "ENABLED"
      target_capacity = 100
    }
  }
}
