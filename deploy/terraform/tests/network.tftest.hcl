# Who can be reached from outside, and who gets out?

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name              = "hello-birthday"
  cidr              = "10.20.0.0/16"
  zones             = 3
  nat               = "per_zone"
  private_endpoints = true
  machines          = false
  log_days          = 30
  key_arn           = "arn:aws:kms:eu-west-1:123456789012:key/key"
}

run "three_zones" {
  module {
    source = "./modules/network"
  }

  assert {
    condition     = length(output.public_subnets) == 3 && length(output.private_subnets) == 3 && length(output.database_subnets) == 3
    error_message = "each zone has a subnet of each kind"
  }
  assert {
    condition = length(distinct(concat(
      values(aws_subnet.public)[*].cidr_block, values(aws_subnet.private)[*].cidr_block, values(aws_subnet.database)[*].cidr_block,
    ))) == 9
    error_message = "no two subnets have the same addresses"
  }
  assert {
    condition     = alltrue([for subnet in concat(values(aws_subnet.private), values(aws_subnet.database)) : subnet.map_public_ip_on_launch != true])
    error_message = "what is private gets no public address"
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 3 && alltrue([for zone, route in aws_route.nat : route.nat_gateway_id == aws_nat_gateway.this[zone].id])
    error_message = "each zone goes out by its own NAT"
  }
  assert {
    condition     = toset(values(aws_route_table_association.database)[*].route_table_id) == toset([aws_route_table.database.id])
    error_message = "the database's subnets share a table of routes"
  }
  assert {
    condition     = !contains(concat(values(aws_route.nat)[*].route_table_id, [aws_route.internet.route_table_id]), aws_route_table.database.id)
    error_message = "the database has no way out"
  }
  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["ecr.api", "ecr.dkr", "logs", "secretsmanager"])
    error_message = "what a task asks for is reached within the VPC"
  }
  assert {
    condition     = length(coalesce(aws_default_security_group.closed.ingress, [])) == 0 && length(coalesce(aws_default_security_group.closed.egress, [])) == 0
    error_message = "the default security group lets nothing through"
  }
}

run "with_machines" {
  module {
    source = "./modules/network"
  }
  variables {
    machines = true
  }

  assert {
    condition     = length(setsubtract(["ecs", "ecs-agent", "ecs-telemetry"], keys(aws_vpc_endpoint.interface))) == 0
    error_message = "machines are told what to do within the VPC"
  }
}

run "one_way_out" {
  module {
    source = "./modules/network"
  }
  variables {
    zones = 2
    nat   = "one"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 2
    error_message = "both zones go out by one NAT"
  }
}

run "no_way_out" {
  module {
    source = "./modules/network"
  }
  variables {
    nat = "none"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0
    error_message = "nobody gets out"
  }
}
