# Who is told, and of what? Alarms that go to one topic, and a page with what they look at.

locals {
  load_balancer = { LoadBalancer = var.metrics.load_balancer }
  target_group  = merge(local.load_balancer, { TargetGroup = var.metrics.target_group })
  service       = { ClusterName = var.metrics.cluster, ServiceName = var.metrics.service }
  primary       = { DBInstanceIdentifier = var.database.primary }

  # Each is looked at once a minute, and tells after so many minutes in a row.
  alarms = merge(
    {
      unhealthy = {
        says      = "A task has not answered its health check for five minutes."
        namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = local.target_group
        statistic = "Maximum", above = 0, minutes = 5
      }
      slow = {
        says      = "One request in a hundred takes longer than a second. The service gives up at two."
        namespace = "AWS/ApplicationELB", metric = "TargetResponseTime", dimensions = local.load_balancer
        statistic = "p99", above = 1, minutes = 5
      }
      processor = {
        says      = "The tasks are busy although there should be more of them: has their number reached tasks_max?"
        namespace = "AWS/ECS", metric = "CPUUtilization", dimensions = local.service
        statistic = "Average", above = 85, minutes = 10
      }
      memory = {
        says      = "The tasks' memory is nearly full; at the limit ECS ends them."
        namespace = "AWS/ECS", metric = "MemoryUtilization", dimensions = local.service
        statistic = "Maximum", above = 85, minutes = 5
      }
      database-processor = {
        says      = "The database is busy: is a replica, or a greater class, due?"
        namespace = "AWS/RDS", metric = "CPUUtilization", dimensions = local.primary
        statistic = "Average", above = 80, minutes = 10
      }
      database-connections = {
        says      = "More connections than all tasks together should have."
        namespace = "AWS/RDS", metric = "DatabaseConnections", dimensions = local.primary
        statistic = "Maximum", above = var.database.connections, minutes = 5
      }
    },
    { for replica in var.database.replicas : "${replica}-lag" => {
      says      = "The replica has fallen behind, and reads go to the primary."
      namespace = "AWS/RDS", metric = "ReplicaLag", dimensions = { DBInstanceIdentifier = replica }
      # It is the age of the last change: where nobody changes anything, up to the 300 s after which RDS begins a new log file.
      statistic = "Maximum", above = 600, minutes = 5
    } },
  )
  everybody = [aws_sns_topic.alarms.arn]
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.key_arn
}

resource "aws_sns_topic_subscription" "mail" {
  for_each  = toset(var.emails)
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each           = local.alarms
  alarm_name         = "${var.name}-${each.key}"
  alarm_description  = each.value.says
  namespace          = each.value.namespace
  metric_name        = each.value.metric
  dimensions         = each.value.dimensions
  statistic          = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic = startswith(each.value.statistic, "p") ? each.value.statistic : null

  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 60
  evaluation_periods  = each.value.minutes
  # Nobody asked, or it is just being made.
  treat_missing_data = "notBreaching"
  alarm_actions      = local.everybody
  ok_actions         = local.everybody
}

# No metric at all is as bad as none free: the only two that must say something.
resource "aws_cloudwatch_metric_alarm" "nobody" {
  alarm_name          = "${var.name}-nobody"
  alarm_description   = "No task answers."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  dimensions          = local.target_group
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 2
  treat_missing_data  = "breaching"
  alarm_actions       = local.everybody
  ok_actions          = local.everybody
}

resource "aws_cloudwatch_metric_alarm" "storage" {
  alarm_name          = "${var.name}-database-storage"
  alarm_description   = "Less than a tenth of the database's first size is free; it should have grown by itself."
  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  dimensions          = local.primary
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = var.database.storage * pow(1024, 3) / 10
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "breaching"
  alarm_actions       = local.everybody
  ok_actions          = local.everybody
}

# Of all requests, and only if there are some: one failure in the night is nothing to wake up for. During a release it is
# this that ends it.
resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${var.name}-errors"
  alarm_description   = "More than one request in a hundred is answered with 5xx."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 1
  evaluation_periods  = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.everybody
  ok_actions          = local.everybody

  metric_query {
    id          = "share"
    label       = "5xx of all, %"
    expression  = "IF(requests > 20, 100 * (FILL(ours, 0) + FILL(the_balancers, 0)) / requests, 0)"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = {
      requests      = "RequestCount"
      ours          = "HTTPCode_Target_5XX_Count"
      the_balancers = "HTTPCode_ELB_5XX_Count"
    }
    content {
      id          = metric_query.key
      return_data = false
      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value
        dimensions  = local.load_balancer
        stat        = "Sum"
        period      = 60
      }
    }
  }
}

locals {
  of_load_balancer = ["LoadBalancer", var.metrics.load_balancer]
  of_service       = ["ClusterName", var.metrics.cluster, "ServiceName", var.metrics.service]
  of_primary       = ["DBInstanceIdentifier", var.database.primary]
  panels = [
    { title = "Requests a minute", stat = "Sum", lines = [
      concat(["AWS/ApplicationELB", "RequestCount"], local.of_load_balancer),
      concat(["AWS/ApplicationELB", "HTTPCode_Target_4XX_Count"], local.of_load_balancer),
      concat(["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"], local.of_load_balancer),
      concat(["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count"], local.of_load_balancer),
    ] },
    { title = "Seconds to the answer, 99 of 100", stat = "p99", lines = [
      concat(["AWS/ApplicationELB", "TargetResponseTime"], local.of_load_balancer),
    ] },
    { title = "Tasks that are healthy", stat = "Minimum", lines = [
      concat(["AWS/ApplicationELB", "HealthyHostCount", "TargetGroup", var.metrics.target_group], local.of_load_balancer),
    ] },
    { title = "Tasks: processor and memory, %", stat = "Average", lines = [
      concat(["AWS/ECS", "CPUUtilization"], local.of_service),
      concat(["AWS/ECS", "MemoryUtilization"], local.of_service),
    ] },
    { title = "Database: processor, %", stat = "Average", lines = [
      concat(["AWS/RDS", "CPUUtilization"], local.of_primary),
    ] },
    { title = "Database: connections", stat = "Maximum", lines = [
      concat(["AWS/RDS", "DatabaseConnections"], local.of_primary),
    ] },
    { title = "Database: free storage, bytes", stat = "Minimum", lines = [
      concat(["AWS/RDS", "FreeStorageSpace"], local.of_primary),
    ] },
    { title = "Database: seconds for a write to disk", stat = "Average", lines = [
      concat(["AWS/RDS", "WriteLatency"], local.of_primary),
    ] },
  ]
}

data "aws_region" "here" {}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "${var.name}-${data.aws_region.here.region}"
  dashboard_body = jsonencode({
    widgets = [for index, panel in local.panels : {
      type   = "metric"
      x      = index % 2 * 12
      y      = floor(index / 2) * 6
      width  = 12
      height = 6
      properties = {
        title   = panel.title
        region  = data.aws_region.here.region
        view    = "timeSeries"
        stat    = panel.stat
        period  = 60
        metrics = panel.lines
      }
    }]
  })
}
