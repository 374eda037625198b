"""The program of `Yaml_Template`: Beam's own YAML main, unmodified."""

import sys

from apache_beam.yaml import main

if __name__ == "__main__":
    main.run(sys.argv[1:])
