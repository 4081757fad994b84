package vigia.acceptance;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider;
import software.amazon.awssdk.services.rekognition.RekognitionClient;
import software.amazon.awssdk.services.rekognition.model.DatasetType;
import software.amazon.awssdk.services.s3.S3Client;

/**
 * Every Java sample of Custom Labels' guide once, in an order in which each finds what it needs. Arguments: project,
 * bucket, key of the manifest, file with changes, image of a disc, of a square, file of records. The images also lie
 * below {@code <project>/test-images/} in the bucket. The journey ends at the first sample that fails.
 */
public final class CustomLabelsJourney {
    private static final String PROFILE = "custom-labels-access";
    private static final String VERSION = "v1.java";

    private CustomLabelsJourney() {}

    public static void main(String[] args) throws Exception {
        Records records = new Records(Path.of(args[6]));
        ProfileCredentialsProvider credentials = ProfileCredentialsProvider.create(PROFILE);
        try (RekognitionClient client = RekognitionClient.builder().credentialsProvider(credentials).build();
                S3Client s3 = S3Client.builder().credentialsProvider(credentials).build();
                CustomLabelsFirstSdk first = new CustomLabelsFirstSdk(PROFILE)) {
            run(new CustomLabelsSamples(client), s3, first, records, args);
        } catch (Exception error) {
            StringWriter trace = new StringWriter();
            error.printStackTrace(new PrintWriter(trace));
            records.note("failed", trace);
            System.exit(1);
        }
    }

    private static void run(CustomLabelsSamples samples, S3Client s3, CustomLabelsFirstSdk first, Records records,
            String[] args) throws Exception {
        String name = args[0];
        String bucket = args[1];
        String project = samples.createProject(name);
        records.note("J-02", project);
        records.note("J-01", samples.describeProjects(null));
        String other = samples.createProject(name + "-copy");
        Map<String, Object> made = samples.createDataset(project, DatasetType.TRAIN, bucket, args[2]);
        records.note("J-03", made);
        String training = made.get("arn").toString();
        records.note("J-14", samples.describeDataset(training));
        records.note("J-12", samples.updateEntries(training, Path.of(args[3])));
        records.note("J-14 after", samples.describeDataset(training));
        records.note("J-15", samples.listEntries(training, false));
        records.note("J-15 errors", samples.listEntries(training, true));
        Map<String, Object> copied = samples.createDataset(other, DatasetType.TRAIN, training);
        records.note("J-13", copied);
        made = samples.createDataset(project, DatasetType.TEST);
        records.note("J-11", made);
        String test = made.get("arn").toString();
        records.note("J-16", samples.distribute(training, test));
        records.note("J-14 shared", List.of(samples.describeDataset(training), samples.describeDataset(test)));
        records.note("J-10", samples.describeProjects(name));

        made = samples.train(project, VERSION, bucket, name + "/out");
        records.note("J-04", made);
        String model = made.get("arn").toString();
        records.note("J-19", samples.describeModels(project, VERSION));
        records.note("J-05", samples.start(project, model, 1, 2));
        records.note("J-19 running", samples.describeModels(project, null));
        detect(samples, s3, first, records, model, args);
        records.note("J-06", samples.stop(project, model));

        copies(samples, records, project, model, other, bucket, name);
        records.note("J-18", samples.deleteModel(project, model));
        records.note("J-19 none", samples.describeModels(project, VERSION));
        records.note("J-17", List.of(samples.deleteDataset(training), samples.deleteDataset(test),
                samples.deleteDataset(copied.get("arn").toString())));
        samples.deleteProject(other);
        records.note("J-09", samples.deleteProject(project));
    }

    private static void detect(CustomLabelsSamples samples, S3Client s3, CustomLabelsFirstSdk first, Records records,
            String model, String[] args) throws IOException {
        for (String label : List.of("disc", "square")) {
            Path image = Path.of(args[label.equals("disc") ? 4 : 5]);
            String key = args[0] + "/test-images/" + image.getFileName();
            records.note("J-07 " + label, List.of(first.show(model, image), first.show(model, args[1], key)));
            records.note("J-08 " + label, List.of(samples.show(model, image), samples.show(s3, model, args[1], key)));
        }
        records.note("J-08 missing", List.of(samples.show(s3, model, args[1], args[0] + "/nowhere.jpg"),
                samples.show(s3, model, args[1] + "-nowhere", "nowhere.jpg")));
    }

    /** A policy, a copy under it, which is deleted again, and the policy's end. */
    private static void copies(CustomLabelsSamples samples, Records records, String project, String model,
            String other, String bucket, String name) throws IOException, InterruptedException {
        Path document = Files.createTempFile("policy", ".json");
        Files.writeString(document, """
                {"Version": "2012-10-17", "Statement": [{"Effect": "ALLOW", "Principal": {"AWS": "arn:aws:iam::%s:root"},
                 "Action": "rekognition:CopyProjectVersion", "Resource": "%s"}]}
                """.formatted(project.split(":")[4], model));
        String put = samples.putPolicy(project, "copies", document, null);
        String again = samples.putPolicy(project, "copies", document, put);
        Files.delete(document);
        records.note("J-20", List.of(put, again));
        records.note("J-22", samples.listPolicies(project));
        Map<String, Object> copy = samples.copy(project, model, other, "copy-1", bucket, name + "/copied");
        records.note("J-21", copy);
        samples.deletePolicy(project, "copies", again);
        records.note("J-23", samples.listPolicies(project));
        records.note("J-18 copy", samples.deleteModel(other, copy.get("arn").toString()));
    }
}
