# For the internet: three zones, a standby of the database that takes over by itself, a replica for reads, backups in
# another region, and a token for everybody who asks.

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

  public            = true
  zones             = 3
  nat               = "per_zone"
  private_endpoints = true

  task_cpu    = 1024
  task_memory = 2048
  tasks_min   = 3
  tasks_max   = 12

  database_class    = "db.m7g.large"
  database_storage  = 100
  database_multi_az = true
  database_replicas = 1
  backup_days       = 35
  copy_backups_to   = var.copy_backups_to
}
