# Can the examples be made as they are? tools/deploy/terraform lays the authorities beside them.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  domain  = "birthdays.example.org"
  zone_id = "Z1"
}

run "small" {
  state_key = "small"
  module {
    source = "./examples/small"
  }
  assert {
    condition     = output.url == "https://birthdays.example.org"
    error_message = "it is found by its name"
  }
}

run "production" {
  state_key = "production"
  module {
    source = "./examples/production"
  }
  assert {
    condition     = output.url == "https://birthdays.example.org"
    error_message = "it is found by its name"
  }
}
