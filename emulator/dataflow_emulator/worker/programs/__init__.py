"""The pipelines behind the built-in templates: ordinary Beam programs that know nothing of the emulator."""
