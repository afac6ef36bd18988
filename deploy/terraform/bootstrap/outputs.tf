output "backend" {
  description = "What the examples' backend-REGION.hcl says"
  value       = <<-EOT
    bucket       = "${aws_s3_bucket.state.bucket}"
    region       = "${var.region}"
    encrypt      = true
    # A lock beside the state keeps a second one out while the first is at work.
    use_lockfile = true
  EOT
}
