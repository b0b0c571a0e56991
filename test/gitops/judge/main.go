// Command judge prints what programs that wait make of objects: kstatus itself (Helm, kubectl plugins, kpt), the kstatus that
// Flux keeps for itself, and Flux's evaluator of healthCheckExprs. It reads
// {"objects": [...], "expressions": {"<kind>": {"current": "...", "failed": "...", "inProgress": "..."}}} from its input.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	fluxstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type question struct {
	Objects     []*unstructured.Unstructured                `json:"objects"`
	Expressions map[string]kustomize.HealthCheckExpressions `json:"expressions"`
}

type verdict struct {
	Kstatus string `json:"kstatus"`
	// Message is what kstatus gives as the reason.
	Message string `json:"message"`
	// Flux is what a Kustomization with wait: true sees.
	Flux string `json:"flux"`
	// Expressions is what it sees with healthCheckExprs.
	Expressions string `json:"expressions"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	verdicts := make([]verdict, 0, len(asked.Objects))
	for _, object := range asked.Objects {
		found, err := judge(object, asked.Expressions)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		verdicts = append(verdicts, found)
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

func judge(object *unstructured.Unstructured, expressions map[string]kustomize.HealthCheckExpressions) (verdict, error) {
	own, err := status.Compute(object)
	if err != nil {
		return verdict{}, err
	}
	flux, err := fluxstatus.Compute(object)
	if err != nil {
		return verdict{}, err
	}
	exprs, ok := expressions[object.GetKind()]
	if !ok {
		return verdict{}, fmt.Errorf("there are no expressions for its kind")
	}
	evaluator, err := cel.NewStatusEvaluator(&exprs)
	if err != nil {
		return verdict{}, err
	}
	evaluated, err := evaluator.Evaluate(context.Background(), object)
	if err != nil {
		return verdict{}, err
	}
	return verdict{
		Kstatus:     own.Status.String(),
		Message:     own.Message,
		Flux:        flux.Status.String(),
		Expressions: evaluated.Status.String(),
	}, nil
}
