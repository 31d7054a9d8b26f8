"""What several tests share: real servers, data, and builders. Not collected as tests."""
