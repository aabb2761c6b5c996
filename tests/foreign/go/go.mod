module thaw.example/function

go 1.18

require github.com/aws/aws-lambda-go v1.50.0
