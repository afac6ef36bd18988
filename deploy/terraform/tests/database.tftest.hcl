# Who can reach the data, who can read it, and what is left of it after an accident?

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                  = "hello-birthday"
  vpc_id                = "vpc-1"
  subnets               = ["subnet-1", "subnet-2"]
  client_security_group = "sg-tasks"
  class                 = "db.t4g.micro"
  storage               = 20
  multi_az              = true
  replicas              = 1
  backup_days           = 7
  copy_backups_to       = "eu-central-1"
  restore               = null
  protect               = true
  log_days              = 30
  key_arn               = "arn:aws:kms:eu-west-1:123456789012:key/key"
}

run "protected" {
  module {
    source = "./modules/database"
  }

  assert {
    condition     = alltrue([for instance in concat([aws_db_instance.primary], aws_db_instance.replica) : instance.publicly_accessible == false])
    error_message = "no instance has a public address"
  }
  assert {
    condition     = aws_db_instance.primary.kms_key_id == var.key_arn && alltrue([for instance in concat([aws_db_instance.primary], aws_db_instance.replica) : instance.storage_encrypted])
    error_message = "the data is encrypted, with our key"
  }
  assert {
    condition     = alltrue([for replica in aws_db_instance.replica : replica.kms_key_id != var.key_arn])
    error_message = "RDS refuses a replica in the same region that names a key"
  }
  assert {
    condition     = { for parameter in aws_db_parameter_group.this.parameter : parameter.name => parameter.value }["rds.force_ssl"] == "1"
    error_message = "who speaks without TLS is refused"
  }
  assert {
    condition     = alltrue([for instance in concat([aws_db_instance.primary], aws_db_instance.replica) : instance.parameter_group_name == aws_db_parameter_group.this.name])
    error_message = "that holds for every instance"
  }
  assert {
    condition = {
      for parameter in aws_db_parameter_group.this.parameter : parameter.name => parameter.value if startswith(parameter.name, "log_")
      } == {
      log_statement       = "none", log_min_duration_statement = "-1", log_min_error_statement = "panic",
      log_error_verbosity = "terse", log_parameter_max_length = "0", log_parameter_max_length_on_error = "0",
    }
    error_message = "no statement, parameter or detail with somebody's name is logged"
  }
  assert {
    condition     = aws_db_instance.primary.manage_master_user_password == null
    error_message = "RDS makes no replica of an instance whose password it manages"
  }
  assert {
    condition     = aws_db_instance.primary.password == null && aws_db_instance.primary.password_wo == null && aws_db_instance.primary.password_wo_version == 1
    error_message = "the administrator's password is in no state"
  }
  assert {
    condition     = aws_db_instance.primary.multi_az
    error_message = "a standby is there where it is asked for"
  }
  assert {
    condition     = aws_db_instance.primary.deletion_protection && !aws_db_instance.primary.skip_final_snapshot && !aws_db_instance.primary.delete_automated_backups
    error_message = "the data can't be deleted by mistake, nor the backups with it"
  }
  assert {
    condition     = aws_db_instance.primary.backup_retention_period == 7 && aws_db_instance_automated_backups_replication.copy[0].region == "eu-central-1"
    error_message = "there are backups, here and there"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.tasks.referenced_security_group_id == "sg-tasks" && aws_vpc_security_group_ingress_rule.tasks.cidr_ipv4 == null
    error_message = "only the tasks connect"
  }
}

run "restored" {
  state_key = "restored"
  module {
    source = "./modules/database"
  }
  variables {
    restore = { instance = "hello-birthday-old", time = "2026-11-24T09:59:00Z" }
  }

  assert {
    condition     = one(aws_db_instance.primary.restore_to_point_in_time).source_db_instance_identifier == "hello-birthday-old" && one(aws_db_instance.primary.restore_to_point_in_time).restore_time == "2026-11-24T09:59:00Z"
    error_message = "it has what was there at that moment"
  }
  assert {
    condition     = aws_db_instance.primary.multi_az && aws_db_instance.primary.parameter_group_name == aws_db_parameter_group.this.name
    error_message = "and is otherwise as any other"
  }
}

run "for_trying_out" {
  module {
    source = "./modules/database"
  }
  variables {
    protect         = false
    multi_az        = false
    replicas        = 0
    copy_backups_to = null
  }

  assert {
    condition     = !aws_db_instance.primary.deletion_protection && aws_db_instance.primary.skip_final_snapshot
    error_message = "it can be deleted"
  }
  assert {
    condition     = length(aws_db_instance.replica) == 0 && length(aws_kms_key.copy) == 0
    error_message = "nothing is there that wasn't asked for"
  }
}
