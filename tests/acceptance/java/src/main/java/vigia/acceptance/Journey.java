package vigia.acceptance;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider;
import software.amazon.awssdk.services.lookoutvision.LookoutVisionClient;
import software.amazon.awssdk.services.lookoutvision.model.DetectAnomalyResult;

/**
 * Every sample once, in an order in which each finds what it needs. Arguments: project, bucket, key of the manifest,
 * file with changes, photograph of an anomaly, of a normal part, label, file of records. The journey ends at the first
 * sample that fails.
 */
public final class Journey {
    private Journey() {}

    public static void main(String[] args) throws Exception {
        Records records = new Records(Path.of(args[7]));
        try (LookoutVisionClient client = LookoutVisionClient.builder()
                .credentialsProvider(ProfileCredentialsProvider.create("lookoutvision-access")).build()) {
            run(new Samples(client), records, args);
        } catch (Exception error) {
            StringWriter trace = new StringWriter();
            error.printStackTrace(new PrintWriter(trace));
            records.note("failed", trace);
            System.exit(1);
        }
    }

    private static void run(Samples samples, Records records, String[] args) throws Exception {
        String project = args[0];
        String bucket = args[1];
        records.note("JV-02", samples.createProject(project));
        records.note("JV-01", samples.listProjects());
        records.note("JV-03", Map.of("manifest", samples.createDataset(project, "train", bucket, args[2]), "empty",
                samples.createDataset(project, "test", null, null)));
        samples.deleteDataset(project, "test");
        records.note("JV-16", samples.createDataset(project, "test", null, null)); // the name is free again
        samples.deleteDataset(project, "test"); // an empty one would be tested on
        Map<String, Object> before = samples.describeDataset(project, "train");
        List<String> statuses = samples.updateEntries(project, "train", Files.readString(Path.of(args[3])));
        Map<String, Object> after = samples.describeDataset(project, "train");
        records.note("JV-14", before);
        records.note("JV-15", Map.of("statuses", statuses, "before", before, "after", after));
        Map<String, Object> made = samples.createModel(project, "acceptance", bucket, project + "/out/");
        records.note("JV-04", made);
        String version = made.get("version").toString();
        records.note("JV-17", samples.listModels(project));
        records.note("JV-12", samples.listProjects());
        records.note("JV-05", samples.startModel(project, version, 1, null));
        for (String name : List.of("anomaly", "normal")) {
            detect(samples, records, name, project, version, Path.of(args[name.equals("anomaly") ? 4 : 5]), args[6]);
        }
        records.note("JV-06", samples.stopModel(project, version));
        samples.deleteModel(project, version);
        records.note("JV-18", samples.listModels(project));
        samples.deleteDataset(project, "train");
        records.note("JV-13", samples.deleteProject(project));
    }

    private static void detect(Samples samples, Records records, String name, String project, String version,
            Path photograph, String label) throws Exception {
        DetectAnomalyResult result = samples.detect(project, version, photograph);
        records.note("JV-07 " + name, Map.of("anomalous", result.isAnomalous(), "confidence", result.confidence(),
                "source", result.source().type()));
        records.note("JV-11 " + name, samples.view(result, photograph));
        float area = (float) result.anomalies().stream().filter(a -> a.name().equals(label))
                .mapToDouble(a -> a.pixelAnomaly().totalPercentageArea()).sum();
        records.note("JV-08 " + name, List.of(Samples.rejectOnClassification(result, 0.5f),
                Samples.rejectOnClassification(result, 1.01f)));
        records.note("JV-09 " + name, List.of(Samples.rejectOnCoverage(result, 0.5f, label, area),
                Samples.rejectOnCoverage(result, 0.5f, label, area * 1.01f + 1e-6f)));
        records.note("JV-10 " + name, List.of(Samples.rejectOnTypes(result, 0.5f, 0),
                Samples.rejectOnTypes(result, 0.5f, 1)));
    }
}
