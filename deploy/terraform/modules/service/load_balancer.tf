# Who is let in from outside, and where does a request go? One load balancer with TLS before the tasks.

locals {
  # The hop from the load balancer to a task stays in the VPC; its addresses are those of the tasks.
  port = 8080
}

resource "aws_security_group" "load_balancer" {
  name        = "${var.name}-load-balancer"
  description = "HTTP and HTTPS from those who may ask"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  for_each          = toset(var.allowed_cidrs)
  security_group_id = aws_security_group.load_balancer.id
  description       = "HTTPS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.key
}

resource "aws_vpc_security_group_ingress_rule" "http" {
  #checkov:skip=CKV_AWS_260:it is redirected to HTTPS, and open to the world only where public says so
  for_each          = toset(var.allowed_cidrs)
  security_group_id = aws_security_group.load_balancer.id
  description       = "HTTP, which is sent on to HTTPS"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
  cidr_ipv4         = each.key
}

resource "aws_vpc_security_group_egress_rule" "to_tasks" {
  security_group_id            = aws_security_group.load_balancer.id
  description                  = "The tasks"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  referenced_security_group_id = aws_security_group.tasks.id
}

resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_91:the paths of requests are names, and a calendar's URL holds a token; see access_log_days
  #checkov:skip=CKV_AWS_150:deletion protection is the variable protect, on unless said otherwise
  #checkov:skip=CKV2_AWS_28:the service bounds every request itself, and tokens are asked for; a web ACL can be put on load_balancer_arn
  name               = var.name
  internal           = !var.public
  load_balancer_type = "application"
  subnets            = var.public ? var.public_subnets : var.private_subnets
  security_groups    = [aws_security_group.load_balancer.id]

  drop_invalid_header_fields = true
  # What the front reads in one way and the back in another is refused at the front.
  desync_mitigation_mode = "strictest"
  # A connection to a task is let go of before the task does so, at 75 s: no request meets one that is being closed.
  idle_timeout               = 60
  enable_deletion_protection = var.protect

  dynamic "access_logs" {
    for_each = aws_s3_bucket.access_logs
    content {
      enabled = true
      bucket  = access_logs.value.id
    }
  }

  depends_on = [aws_s3_bucket_policy.access_logs]
}

resource "aws_lb_target_group" "tasks" {
  #checkov:skip=CKV_AWS_378:the hop stays in the VPC, between two security groups; the service leaves TLS to who stands before it
  name_prefix = "hello-"
  vpc_id      = var.vpc_id
  target_type = "ip"
  protocol    = "HTTP"
  port        = local.port
  # As long as a task takes to end: what is in flight then is answered.
  deregistration_delay          = local.drain_delay + local.drain_timeout
  load_balancing_algorithm_type = "least_outstanding_requests"

  # Not /-/ready: that is 503 while the database is away, and ECS replaces what is unhealthy. An outage of the database
  # must not become one of every task; requests are answered with 503 meanwhile, and at once when it is back.
  health_check {
    path                = "/-/healthy"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  # TLS 1.3, and 1.2 with forward secrecy.
  ssl_policy      = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn = local.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.tasks.arn
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"
    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}
