// A function in Go as people write them, that does as its event says.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string `json:"do"`
	Text string `json:"text"`
}

type answer struct {
	Text      string `json:"text"`
	RequestID string `json:"request_id"`
	Function  string `json:"function"`
	Deadline  bool   `json:"deadline"`
	PID       int    `json:"pid"`
}

func handle(ctx context.Context, asked event) (answer, error) {
	fmt.Println("go does", asked.Do)
	switch asked.Do {
	case "error":
		return answer{}, errors.New("it will not")
	case "panic":
		panic("it cannot")
	case "hang":
		time.Sleep(time.Minute)
	case "exit":
		os.Exit(7)
	}
	known, _ := lambdacontext.FromContext(ctx)
	_, deadline := ctx.Deadline()
	return answer{asked.Text, known.AwsRequestID, lambdacontext.FunctionName, deadline, os.Getpid()}, nil
}

func main() {
	lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() {
		fmt.Println("go was told to end")
	}))
}
