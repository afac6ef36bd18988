# What is refused before anything is made, and what holds for the whole?

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  domain              = "birthdays.example.org"
  zone_id             = "Z1"
  database_roots_file = "tests/roots.pem"
}

run "as_it_is" {
  assert {
    condition     = !module.service.release.reachable_by_anyone
    error_message = "nobody on the internet reaches it unless that is said"
  }
  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "the key is changed"
  }
  assert {
    condition     = output.secrets.tokens == null
    error_message = "within the VPC tokens need not be asked for"
  }
  assert {
    condition     = length(aws_iam_role.release) == 0
    error_message = "no pipeline may make releases unless that is said"
  }
}

run "public" {
  variables {
    public = true
  }
  assert {
    condition     = output.secrets.tokens != null
    error_message = "on the internet tokens are asked for"
  }
}

run "public_without_tokens" {
  command = plan
  variables {
    public         = true
    ask_for_tokens = false
  }
  expect_failures = [var.ask_for_tokens]
}

run "a_name_that_nobody_proves" {
  command = plan
  variables {
    zone_id = null
  }
  expect_failures = [var.certificate_arn]
}

run "no_way_to_the_images" {
  command = plan
  variables {
    nat = "none"
  }
  expect_failures = [var.nat]
}

run "no_way_to_psql" {
  command = plan
  variables {
    nat               = "none"
    private_endpoints = true
  }
  expect_failures = [var.psql_image]
}

run "backups_beside_the_data" {
  command = plan
  variables {
    copy_backups_to = "eu-west-1"
  }
  expect_failures = [var.copy_backups_to]
}

run "a_restore_of_nothing" {
  command = plan
  variables {
    restore = { time = "2026-11-24T09:59:00Z" }
  }
  expect_failures = [var.restore]
}

run "what_fargate_does_not_have" {
  command = plan
  variables {
    task_memory = 1536
  }
  expect_failures = [var.task_memory]
}

run "what_is_no_number_of_tasks" {
  command = plan
  variables {
    tasks_min = 7
  }
  expect_failures = [var.tasks_min]
}

run "a_pipeline" {
  state_key = "a_pipeline"
  override_resource {
    target = module.service.aws_iam_role.start["roles"]
    values = { arn = "arn:aws:iam::123456789012:role/start-roles" }
  }
  variables {
    releasers = {
      provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
      subjects     = ["repo:example/hello-birthday:environment:aws"]
    }
  }
  assert {
    condition     = jsondecode(aws_iam_role.release[0].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == ["repo:example/hello-birthday:environment:aws"]
    error_message = "one pipeline's tokens, and no other's"
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.release[0].policy, "start-roles")
    error_message = "a pipeline can't start what reads the administrator's password"
  }
  assert {
    condition = alltrue([for statement in jsondecode(aws_iam_role_policy.release[0].policy).Statement :
      statement.Resource != "*" || statement.Sid == "HaveNoNarrowerResource"
    ])
    error_message = "no right is wider than AWS makes it"
  }
}

run "anybodys_pipeline" {
  command = plan
  variables {
    releasers = {
      provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
      subjects     = ["repo:example/*"]
    }
  }
  expect_failures = [var.releasers]
}
