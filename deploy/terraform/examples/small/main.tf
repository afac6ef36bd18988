# For a team or a house: two small tasks, one database that is backed up, reached from within the VPC. It is away for some
# minutes when the database's machine or zone is lost, and loses nothing.

module "hello_birthday" {
  source = "../.."

  name                = var.name
  domain              = var.domain
  zone_id             = var.zone_id
  certificate_arn     = var.certificate_arn
  alarm_emails        = var.alarm_emails
  database_roots_file = "${path.root}/roots.pem"
  protect             = var.protect
}
