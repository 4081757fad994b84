package vigia.acceptance;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import javax.imageio.ImageIO;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.services.rekognition.RekognitionClient;
import software.amazon.awssdk.services.rekognition.model.CustomLabel;
import software.amazon.awssdk.services.rekognition.model.DatasetDescription;
import software.amazon.awssdk.services.rekognition.model.DatasetStatus;
import software.amazon.awssdk.services.rekognition.model.DatasetType;
import software.amazon.awssdk.services.rekognition.model.DescribeProjectVersionsRequest;
import software.amazon.awssdk.services.rekognition.model.DescribeProjectVersionsResponse;
import software.amazon.awssdk.services.rekognition.model.DistributeDataset;
import software.amazon.awssdk.services.rekognition.model.Image;
import software.amazon.awssdk.services.rekognition.model.ListDatasetEntriesResponse;
import software.amazon.awssdk.services.rekognition.model.ListProjectPoliciesResponse;
import software.amazon.awssdk.services.rekognition.model.ProjectDescription;
import software.amazon.awssdk.services.rekognition.model.ProjectPolicy;
import software.amazon.awssdk.services.rekognition.model.ProjectVersionDescription;
import software.amazon.awssdk.services.rekognition.model.ProjectVersionStatus;
import software.amazon.awssdk.services.rekognition.model.RekognitionException;
import software.amazon.awssdk.services.rekognition.waiters.RekognitionWaiter;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.NoSuchBucketException;
import software.amazon.awssdk.services.s3.model.NoSuchKeyException;

/**
 * What the Java samples of Custom Labels' guide do, call by call, written anew. A status that the sample would take for
 * a failure is one; only the pauses are shorter, and what would wait for ever gives up.
 */
final class CustomLabelsSamples {
    private static final long PAUSE = 1000;
    private static final int PATIENCE = 420;
    private static final float MIN_CONFIDENCE = 50;

    private final RekognitionClient client;
    private final RekognitionWaiter waiter;

    CustomLabelsSamples(RekognitionClient client) {
        this.client = client;
        this.waiter = RekognitionWaiter.builder().client(client).overrideConfiguration(c -> c.maxAttempts(PATIENCE)
                .backoffStrategyV2(BackoffStrategy.fixedDelayWithoutJitter(Duration.ofMillis(PAUSE)))).build();
    }

    private static void until(BooleanSupplier done, Object what) throws InterruptedException {
        long deadline = System.nanoTime() + PATIENCE * 1_000_000_000L;
        while (!done.getAsBoolean()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("for too long: " + what);
            }
            Thread.sleep(PAUSE);
        }
    }

    private static <T> List<String> watched(Supplier<T> look, Set<T> busy, T done) throws InterruptedException {
        List<String> seen = new ArrayList<>();
        until(() -> {
            T status = look.get();
            if (seen.isEmpty() || !seen.get(seen.size() - 1).equals(status.toString())) {
                seen.add(status.toString());
            }
            if (!status.equals(done) && !busy.contains(status)) {
                throw new IllegalStateException("unexpected status: " + seen);
            }
            return status.equals(done);
        }, seen);
        return seen;
    }

    private DatasetDescription dataset(String arn) {
        return client.describeDataset(r -> r.datasetArn(arn)).datasetDescription();
    }

    private Map<String, Object> created(String arn) throws InterruptedException {
        return Map.of("arn", arn, "statuses", watched(() -> dataset(arn).status(),
                Set.of(DatasetStatus.CREATE_IN_PROGRESS), DatasetStatus.CREATE_COMPLETE));
    }

    private List<ProjectVersionDescription> versions(String project, String version) {
        return client.describeProjectVersions(r -> r.projectArn(project).versionNames(version))
                .projectVersionDescriptions();
    }

    /** The name between the third slash of a model's ARN and the fourth. */
    private static String version(String arn) {
        return arn.split("/")[3];
    }

    /** J-01, J-10: every project, or the one of the name: status, and type and status of each dataset. */
    Map<String, Object> describeProjects(String name) {
        Map<String, Object> found = new LinkedHashMap<>();
        for (ProjectDescription project : client.describeProjects(r -> {
            if (name != null) {
                r.projectNames(name);
            }
        }).projectDescriptions()) {
            List<Object> datasets = new ArrayList<>();
            if (project.hasDatasets()) {
                project.datasets().forEach(d -> datasets.add(List.of(d.datasetTypeAsString(), d.datasetArn(),
                        d.statusAsString(), d.statusMessage(), d.statusMessageCodeAsString(),
                        d.creationTimestamp().toString())));
            }
            found.put(project.projectArn(), Map.of("status", project.statusAsString(), "hasDatasets",
                    project.hasDatasets(), "datasets", datasets));
        }
        return found;
    }

    /** J-02. */
    String createProject(String name) {
        return client.createProject(r -> r.projectName(name)).projectArn();
    }

    /** J-03. */
    Map<String, Object> createDataset(String project, DatasetType kind, String bucket, String manifest)
            throws InterruptedException {
        return created(client.createDataset(r -> r.projectArn(project).datasetType(kind).datasetSource(
                s -> s.groundTruthManifest(m -> m.s3Object(o -> o.bucket(bucket).name(manifest))))).datasetArn());
    }

    /** J-11. */
    Map<String, Object> createDataset(String project, DatasetType kind) throws InterruptedException {
        return created(client.createDataset(r -> r.projectArn(project).datasetType(kind)).datasetArn());
    }

    /** J-13. */
    Map<String, Object> createDataset(String project, DatasetType kind, String source) throws InterruptedException {
        return created(client.createDataset(r -> r.projectArn(project).datasetType(kind)
                .datasetSource(s -> s.datasetArn(source))).datasetArn());
    }

    /** J-12. */
    List<String> updateEntries(String arn, Path file) throws InterruptedException, IOException {
        try (InputStream lines = Files.newInputStream(file)) {
            SdkBytes bytes = SdkBytes.fromInputStream(lines);
            client.updateDatasetEntries(r -> r.datasetArn(arn).changes(c -> c.groundTruth(bytes)));
        }
        return watched(() -> dataset(arn).status(), Set.of(DatasetStatus.UPDATE_IN_PROGRESS),
                DatasetStatus.UPDATE_COMPLETE);
    }

    /** J-14: all that the sample prints, the four numbers too. */
    Map<String, Object> describeDataset(String arn) {
        DatasetDescription found = dataset(arn);
        return Map.of("created", found.creationTimestamp().toString(), "updated",
                found.lastUpdatedTimestamp().toString(), "status", found.statusAsString(), "message",
                found.statusMessage(), "code", found.statusMessageCodeAsString(), "labeled",
                found.datasetStats().labeledEntries(), "total", found.datasetStats().totalEntries(), "labels",
                found.datasetStats().totalLabels(), "errors", found.datasetStats().errorEntries());
    }

    /** J-15: entries, and in how many answers of one they came. */
    Map<String, Object> listEntries(String arn, boolean errors) {
        List<String> entries = new ArrayList<>();
        int answers = 0;
        for (ListDatasetEntriesResponse answer : client.listDatasetEntriesPaginator(
                r -> r.datasetArn(arn).hasErrors(errors).maxResults(1))) {
            entries.addAll(answer.datasetEntries());
            answers++;
        }
        return Map.of("entries", entries, "answers", answers);
    }

    /** J-16: the statuses of both; the sample goes on looking whatever it sees but a completed update. */
    List<List<String>> distribute(String training, String test) throws InterruptedException {
        client.distributeDatasetEntries(r -> r.datasets(DistributeDataset.builder().arn(training).build(),
                DistributeDataset.builder().arn(test).build()));
        List<List<String>> found = new ArrayList<>();
        for (String arn : List.of(training, test)) {
            List<String> seen = new ArrayList<>();
            until(() -> {
                String status = dataset(arn).statusAsString();
                if (!seen.contains(status)) {
                    seen.add(status);
                }
                return status.equals("UPDATE_COMPLETE");
            }, seen);
            found.add(seen);
        }
        return found;
    }

    /** J-04: the model's ARN and what the waiter saw last. */
    Map<String, Object> train(String project, String version, String bucket, String folder) {
        String arn = client.createProjectVersion(r -> r.projectArn(project).versionName(version)
                .outputConfig(c -> c.s3Bucket(bucket).s3KeyPrefix(folder))).projectVersionArn();
        DescribeProjectVersionsResponse last = waiter.waitUntilProjectVersionTrainingCompleted(
                of(project, version)).matched().response().orElseThrow();
        return Map.of("arn", arn, "models", last.projectVersionDescriptions().stream()
                .map(m -> (Object) List.of(m.projectVersionArn(), m.statusAsString(), m.statusMessage())).toList());
    }

    private static DescribeProjectVersionsRequest of(String project, String version) {
        return DescribeProjectVersionsRequest.builder().projectArn(project).versionNames(version).build();
    }

    /** J-05: the answer's status; every model that the waiter saw last must run. */
    String start(String project, String arn, int least, Integer most) {
        String answer = client.startProjectVersion(r -> r.projectVersionArn(arn).minInferenceUnits(least)
                .maxInferenceUnits(most)).statusAsString();
        for (ProjectVersionDescription model : waiter.waitUntilProjectVersionRunning(of(project, version(arn)))
                .matched().response().orElseThrow().projectVersionDescriptions()) {
            if (model.status() != ProjectVersionStatus.RUNNING) {
                throw new IllegalStateException(model.statusAsString() + " " + model.statusMessage());
            }
        }
        return answer;
    }

    /** J-06. */
    Map<String, Object> stop(String project, String arn) throws InterruptedException {
        String answer = client.stopProjectVersion(r -> r.projectVersionArn(arn)).statusAsString();
        return Map.of("answer", answer, "statuses", watched(() -> versions(project, version(arn)).get(0).status(),
                Set.of(ProjectVersionStatus.STOPPING), ProjectVersionStatus.STOPPED));
    }

    /** J-08 of a local image: the viewer without its window. */
    Map<String, Object> show(String model, Path photograph) throws IOException {
        SdkBytes bytes = SdkBytes.fromByteArray(Files.readAllBytes(photograph));
        return show(model, ImageIO.read(new ByteArrayInputStream(bytes.asByteArray())),
                Image.builder().bytes(bytes).build());
    }

    /** J-08 of an image in a bucket; what the sample says where either is not there. */
    Map<String, Object> show(S3Client s3, String model, String bucket, String key) throws IOException {
        BufferedImage image;
        try (InputStream content = s3.getObject(r -> r.bucket(bucket).key(key))) {
            image = ImageIO.read(content);
        } catch (NoSuchKeyException e) {
            return Map.of("error", "Image not found");
        } catch (NoSuchBucketException e) {
            return Map.of("error", "Bucket not found");
        }
        return show(model, image, Image.builder().s3Object(o -> o.bucket(bucket).name(key)).build());
    }

    private Map<String, Object> show(String model, BufferedImage shown, Image image) {
        List<Object> labels = new ArrayList<>();
        for (CustomLabel label : client.detectCustomLabels(r -> r.projectVersionArn(model).image(image)
                .minConfidence(MIN_CONFIDENCE)).customLabels()) {
            labels.add(List.of(label.name(), label.confidence(), label.geometry() != null));
        }
        return Map.of("size", List.of(shown.getWidth(), shown.getHeight()), "labels", labels);
    }

    /** J-09: the answer's status; returns when the project is in no list any more. */
    String deleteProject(String arn) throws InterruptedException {
        String answer = client.deleteProject(r -> r.projectArn(arn)).statusAsString();
        until(() -> client.describeProjects(r -> {}).projectDescriptions().stream()
                .noneMatch(project -> project.projectArn().equals(arn)), arn);
        return answer;
    }

    /** J-17: the code of the error with which the sample ends. */
    String deleteDataset(String arn) throws InterruptedException {
        client.deleteDataset(r -> r.datasetArn(arn));
        List<String> ended = new ArrayList<>();
        until(() -> {
            try {
                dataset(arn);
            } catch (RekognitionException e) {
                ended.add(e.awsErrorDetails().errorCode());
            }
            return !ended.isEmpty();
        }, arn);
        return ended.get(0);
    }

    /**
     * J-18: the answer's status and the one in the list. The sample takes a model that is listed for a deleted one and
     * waits while it is not: it ends only if it sees the model go.
     */
    List<String> deleteModel(String project, String arn) throws InterruptedException {
        String answer = client.deleteProjectVersion(r -> r.projectVersionArn(arn)).statusAsString();
        List<String> listed = new ArrayList<>(List.of(answer));
        for (int attempt = 0; attempt < 5 && listed.size() == 1; attempt++) {
            versions(project, version(arn)).forEach(model -> listed.add(model.statusAsString()));
            if (listed.size() == 1) {
                Thread.sleep(PAUSE);
            }
        }
        until(() -> versions(project, version(arn)).isEmpty(), arn); // what is deleted next asks for that
        return listed;
    }

    /** J-19: of every model, or of the version; what need not be there only where it is. */
    List<Object> describeModels(String project, String version) {
        List<Object> found = new ArrayList<>();
        for (ProjectVersionDescription model : client.describeProjectVersions(r -> {
            r.projectArn(project);
            if (version != null) {
                r.versionNames(version);
            }
        }).projectVersionDescriptions()) {
            Map<String, Object> told = new LinkedHashMap<>();
            told.put("arn", model.projectVersionArn());
            told.put("status", model.statusAsString());
            told.put("message", model.statusMessage());
            if (model.billableTrainingTimeInSeconds() != null) {
                told.put("minutes", model.billableTrainingTimeInSeconds() / 60.0);
            }
            if (model.evaluationResult() != null) {
                told.put("f1", model.evaluationResult().f1Score());
                told.put("summary", model.evaluationResult().summary().s3Object().name());
            }
            if (model.manifestSummary() != null) {
                told.put("manifests", model.manifestSummary().s3Object().name());
            }
            if (model.outputConfig() != null) {
                told.put("output", List.of(model.outputConfig().s3Bucket(), model.outputConfig().s3KeyPrefix()));
            }
            if (model.minInferenceUnits() != null) {
                told.put("units", model.minInferenceUnits());
            }
            found.add(told);
        }
        return found;
    }

    /** J-20: the policy's revision. */
    String putPolicy(String project, String name, Path document, String revision) throws IOException {
        String text = Files.readString(document);
        return client.putProjectPolicy(r -> r.projectArn(project).policyName(name).policyDocument(text)
                .policyRevisionId(revision)).policyRevisionId();
    }

    /** J-21: the copy's ARN and statuses. */
    Map<String, Object> copy(String sourceProject, String source, String destination, String version, String bucket,
            String folder) throws InterruptedException {
        String arn = client.copyProjectVersion(r -> r.sourceProjectArn(sourceProject).sourceProjectVersionArn(source)
                .destinationProjectArn(destination).versionName(version)
                .outputConfig(c -> c.s3Bucket(bucket).s3KeyPrefix(folder))).projectVersionArn();
        return Map.of("arn", arn, "statuses", watched(() -> versions(destination, version).get(0).status(),
                Set.of(ProjectVersionStatus.COPYING_IN_PROGRESS), ProjectVersionStatus.COPYING_COMPLETED));
    }

    /** J-22: name and revision of each policy. */
    List<Object> listPolicies(String project) {
        List<Object> found = new ArrayList<>();
        String token = null;
        do {
            String next = token;
            ListProjectPoliciesResponse answer = client.listProjectPolicies(
                    r -> r.projectArn(project).maxResults(5).nextToken(next));
            for (ProjectPolicy policy : answer.projectPolicies()) {
                found.add(List.of(policy.policyName(), policy.policyRevisionId()));
            }
            token = answer.nextToken();
        } while (token != null);
        return found;
    }

    /** J-23. */
    void deletePolicy(String project, String name, String revision) {
        client.deleteProjectPolicy(r -> r.projectArn(project).policyName(name).policyRevisionId(revision));
    }
}
