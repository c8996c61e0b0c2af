"""What a project needs to test its own scriptlets."""
