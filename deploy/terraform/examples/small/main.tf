# For a team or a house: two small tasks, one database that is backed up, reached from within the VPC. With the database's
# machine or zone it is away until somebody restores it, and up to five minutes of data are gone.

module "hello_birthday" {
  source = "../.."

  name                = var.name
  domain              = var.domain
  zone_id             = var.zone_id
  certificate_arn     = var.certificate_arn
  alarm_emails        = var.alarm_emails
  database_roots_file = "${path.root}/roots-${var.region}.pem"
  protect             = var.protect
  architecture        = var.architecture
  leads_domain        = var.leads_domain
  restore             = var.restore
  releasers           = var.releasers
}
