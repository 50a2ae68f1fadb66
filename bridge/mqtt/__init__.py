"""Events and commands over MQTT, for programs that follow or steer conferences from elsewhere."""
