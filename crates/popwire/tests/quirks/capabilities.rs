// Greeting and capabilities.
