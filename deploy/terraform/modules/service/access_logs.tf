# Who asked for what? Kept only where access_log_days says so: the path of a request is somebody's name, and the URL of a
# calendar holds a token. The service's own log has neither.

locals {
  keeps_access_logs = var.access_log_days == 0 ? 0 : 1
}

resource "aws_s3_bucket" "access_logs" {
  #checkov:skip=CKV_AWS_18:a log of who wrote the log
  #checkov:skip=CKV_AWS_21:a log line is written once, and must be gone when its time is over
  #checkov:skip=CKV_AWS_144:what is lost with its region is a log
  #checkov:skip=CKV_AWS_145:load balancers can write only to buckets with keys of S3 (SSE-S3)
  #checkov:skip=CKV2_AWS_62:nobody waits for a log line
  count         = local.keeps_access_logs
  bucket_prefix = "${var.name}-access-"
  force_destroy = true
}

resource "aws_s3_bucket_public_access_block" "access_logs" {
  count                   = local.keeps_access_logs
  bucket                  = aws_s3_bucket.access_logs[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "access_logs" {
  count  = local.keeps_access_logs
  bucket = aws_s3_bucket.access_logs[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "access_logs" {
  count  = local.keeps_access_logs
  bucket = aws_s3_bucket.access_logs[0].id

  rule {
    id     = "forget"
    status = "Enabled"
    filter {}
    expiration {
      days = var.access_log_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "access_logs" {
  count  = local.keeps_access_logs
  bucket = aws_s3_bucket.access_logs[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "LoadBalancersWrite"
        Effect    = "Allow"
        Action    = "s3:PutObject"
        Resource  = "${aws_s3_bucket.access_logs[0].arn}/AWSLogs/${local.account}/*"
        Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
      },
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.access_logs[0].arn, "${aws_s3_bucket.access_logs[0].arn}/*"]
        Principal = "*"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}
