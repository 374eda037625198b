// Command controlplane is a Kubernetes control plane in one process, without nodes, for laptops and tests:
//
//	controlplane serve --data-dir=DIR [flags of kube-apiserver]
//	controlplane kubectl …
//
// Called by the name kubectl it is kubectl.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	switch {
	case filepath.Base(os.Args[0]) == "kubectl":
		kubectl()
	case len(os.Args) > 1 && os.Args[1] == "kubectl":
		os.Args = os.Args[1:] // kubectl looks for its arguments, and for those of its plugins, in os.Args
		kubectl()
	case len(os.Args) > 1 && os.Args[1] == "serve":
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "controlplane:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: controlplane serve --data-dir=DIR [flags of kube-apiserver] | controlplane kubectl …")
		os.Exit(2)
	}
}

// kubectl does what the released kubectl's main does.
func kubectl() {
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args)) // before the command is built, which reads .kuberc and may log
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
